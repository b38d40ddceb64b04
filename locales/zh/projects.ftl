# Messages of the pages, Simplified Chinese: projects.

projects-title = 项目
switch-title = 切换项目
projects-filter = 筛选项目
projects-none = 没有项目
projects-none-admin = 项目包含镜像仓库、应用和成员。请创建第一个项目。
projects-none-user = 您还不是任何项目的成员，请联系管理员添加。
project-new = 新建项目
project-new-title = 新建项目
project-create = 创建项目
project-name-hint = 小写字母、数字和连字符。它是每个镜像仓库名称的开头，之后不能更改。
project-visibility-hint = 任何人都可以从公开项目拉取镜像；私有项目仅限成员。
project-environments = 环境
applications-none = 还没有应用。
flash-project-created = 项目 { $name } 已创建。
