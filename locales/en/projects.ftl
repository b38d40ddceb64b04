# Messages of the pages, English: projects.

projects-title = Projects
switch-title = Switch project
projects-filter = Filter projects
projects-none = No projects
projects-none-admin = A project holds repositories, applications and members. Create the first one.
projects-none-user = You are not a member of a project yet. Ask an administrator to add you.
project-new = New project
project-new-title = New project
project-create = Create project
project-name-hint = Lower-case letters, digits and hyphens. It starts the name of every repository and cannot be changed.
project-visibility-hint = Anybody may pull from a public project; a private one is for members only.
project-environments = Environments
applications-none = No application yet.
flash-project-created = Project { $name } is ready.
