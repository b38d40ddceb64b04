# Messages of the pages, Simplified Chinese: catalog.

catalog-lead = 所有团队的应用：归属与运行位置。
catalog-filter = 筛选应用
catalog-any-lifecycle = 全部阶段
catalog-none = 还没有应用
catalog-none-text = 部署镜像或通过 API 登记应用后，会显示在这里。
col-owner = 所属团队
col-lifecycle = 生命周期
col-runs = 运行于
col-environment = 环境
col-since = 加入时间
col-used = 最近使用
col-expires = 到期
field-team = 团队
field-repository = 镜像仓库
field-email = 邮箱
no-owner = 无归属
none = 无
never = 从不
save = 保存
runs-nowhere = 未部署
application-open = 打开应用
links-title = 链接
links-none = 没有链接。
lifecycle-experimental = 试验
lifecycle-production = 生产
lifecycle-deprecated = 弃用
