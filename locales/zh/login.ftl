# Messages of the pages, Simplified Chinese: login.

login-title = 登录
login-name = 用户名
login-password = 密码
login-submit = 登录
login-hint = 首个管理员名为 admin，其密码在 Portolan 首次启动时输出。
login-unencrypted = 此地址未加密，浏览器不会保持您的登录状态。
login-unencrypted-open = 通过 HTTPS 打开此页
login-unencrypted-operator = 请管理员为 Portolan 设置浏览器可访问的 --tls-listen 地址，或使用 https 的 --external-url。
