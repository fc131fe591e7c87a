"""web_search: providers of search, pages that are opened, and what models see of both."""
