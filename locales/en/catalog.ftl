# Messages of the pages, English: catalog.

catalog-lead = The applications of all teams: whose they are, and where they run.
catalog-filter = Filter applications
catalog-any-lifecycle = Any lifecycle
catalog-none = No application yet
catalog-none-text = Deploy an image, or register an application through the API; it appears here.
col-owner = Owner
col-lifecycle = Lifecycle
col-runs = Runs in
col-environment = Environment
col-since = Since
col-used = Last used
col-expires = Expires
field-team = Team
field-repository = Repository
field-email = E-mail
no-owner = no owner
none = none
never = never
save = Save
runs-nowhere = not deployed
application-open = Open application
links-title = Links
links-none = No links.
lifecycle-experimental = Experimental
lifecycle-production = Production
lifecycle-deprecated = Deprecated
