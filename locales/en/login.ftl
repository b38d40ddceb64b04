# Messages of the pages, English: login.

login-title = Sign in
login-name = Name
login-password = Password
login-submit = Sign in
login-hint = The first administrator is called admin; the password was printed when Portolan first started.
