//! The pages: words in two languages, budgets, and pages over real services.

mod access;
mod assets;
mod images;
mod pages;
mod retention;
mod versions;
mod words;
