# Messages of the pages, Simplified Chinese: search.

search-title = 搜索
search-tips = 应用、镜像仓库、项目和团队的名称。以 > 开头可查找页面。
search-none = 没有结果，请尝试更短的词。
search-pages = 前往
