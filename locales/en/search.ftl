# Messages of the pages, English: search.

search-title = Search
search-tips = Names of applications, repositories, projects and teams. Start with > for pages.
search-none = Nothing found. Try a shorter word.
search-pages = Go to
