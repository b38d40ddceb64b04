//! Pages, in process and in a real browser.
