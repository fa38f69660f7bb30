"""The page's own HTML, CSS and JavaScript; `refvid.report.page` puts them into one file."""
