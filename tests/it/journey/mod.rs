//! The main job end to end, with the real docker and a real browser.
