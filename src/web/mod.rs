//! The pages: extract, one service call, render a template.
