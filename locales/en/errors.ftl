# Messages of the pages, English: errors.

error-missing-title = Page not found
error-missing-try = It may have been removed, or you may lack access to it. Check the address, or search for what you need.
error-denied-title = Not allowed
error-denied-try = Ask an admin of the project for the role you need, or go back and open the page again.
error-conflict-title = Cannot be done now
error-conflict-try = Somebody may have changed it meanwhile. Open the page again and look.
error-input-title = The input is not right
error-input-try = Go back, correct it and send it again.
error-busy-title = Too many requests
error-busy-try = Wait a moment, then try again.
error-away-title = Not available
error-away-try = Something Portolan depends on does not answer. Nothing was changed; try again in a moment.
error-broken-title = Something went wrong on our side
error-broken-try = It is not your doing. Try again; if it stays, give the request number to an administrator.
error-home = Go to the overview
error-again = Try again
error-request = Request
error-rate_limited = Too many attempts. Try again in { $n } s.
error-unauthenticated = Name or password is wrong.
error-denied = You lack the permission for this.
error-not_found = It does not exist, or you may not see it.
error-name_invalid = This name breaks the rules: lower-case letters, digits and hyphens, starting and ending with a letter or digit.
error-csrf = This form does not come from a page of this site. Open the page again.
error-internal = Internal error.
error-unavailable = Something Portolan depends on does not answer.
