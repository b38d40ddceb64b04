# Messages of the pages, English: login.

login-title = Sign in
login-name = Name
login-password = Password
login-submit = Sign in
login-hint = The first administrator is called admin; the password was printed when Portolan first started.
login-unencrypted = This address is not encrypted, so your browser will not keep you signed in.
login-unencrypted-open = Open this page over HTTPS
login-unencrypted-operator = The operator has to give Portolan a --tls-listen address that browsers reach, or an https --external-url.
