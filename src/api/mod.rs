//! The JSON API: extract, one service call, render.
