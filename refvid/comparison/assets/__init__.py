"""The page's own HTML, CSS and JavaScript; `refvid.comparison.page` puts them into one file."""
