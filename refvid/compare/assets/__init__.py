"""The page's own HTML, CSS and JavaScript; `refvid.compare.page` puts them into one file."""
