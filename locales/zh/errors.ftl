# Messages of the pages, Simplified Chinese: errors.

error-missing-title = 找不到页面
error-missing-try = 它可能已被删除，或者您没有访问权限。请检查地址，或搜索所需内容。
error-denied-title = 没有权限
error-denied-try = 请向项目管理员申请所需角色，或返回并重新打开页面。
error-conflict-title = 目前无法执行
error-conflict-try = 内容可能已被他人更改，请重新打开页面查看。
error-input-title = 输入有误
error-input-try = 请返回修改后重新提交。
error-busy-title = 请求过多
error-busy-try = 请稍候再试。
error-away-title = 暂不可用
error-away-try = Portolan 依赖的服务没有响应。没有任何更改，请稍后再试。
error-broken-title = 服务器出错
error-broken-try = 这不是您的问题。请重试；若仍出现，请将请求编号告知管理员。
error-home = 返回概览
error-again = 重试
error-request = 请求编号
error-rate_limited = 尝试次数过多，请在 { $n } 秒后重试。
error-unauthenticated = 用户名或密码错误。
error-denied = 您没有执行此操作的权限。
error-not_found = 该内容不存在，或您无权查看。
error-name_invalid = 名称不符合规则：只能使用小写字母、数字和连字符，且须以字母或数字开头和结尾。
error-csrf = 此表单并非来自本站页面，请重新打开页面。
error-internal = 内部错误。
error-unavailable = Portolan 依赖的服务没有响应。
