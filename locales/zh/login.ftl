# Messages of the pages, Simplified Chinese: login.

login-title = 登录
login-name = 用户名
login-password = 密码
login-submit = 登录
login-hint = 首个管理员名为 admin，其密码在 Portolan 首次启动时输出。
