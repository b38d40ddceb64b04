//! What was checked and how it went: a matrix of categories and data sets.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::client::Fault;

/// What the specification lets a client do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Category {
    Ping,
    TagList,
    TagDelete,
    TagDeleteAtomic,
    UploadCancel,
    BlobPush,
    BlobPostOnly,
    BlobPostPut,
    BlobChunked,
    BlobStreaming,
    BlobMount,
    BlobAnonymousMount,
    BlobGet,
    BlobGetRange,
    BlobHead,
    BlobDelete,
    BlobDeleteAtomic,
    ManifestPutByDigest,
    ManifestPutByTag,
    ManifestPutTagParams,
    ManifestPutSubject,
    ManifestGetByDigest,
    ManifestGetByTag,
    ManifestHeadByDigest,
    ManifestHeadByTag,
    ManifestDelete,
    ManifestDeleteAtomic,
    Referrers,
}

impl Category {
    pub(super) const ALL: [Self; 28] = [
        Self::Ping,
        Self::TagList,
        Self::TagDelete,
        Self::TagDeleteAtomic,
        Self::UploadCancel,
        Self::BlobPush,
        Self::BlobPostOnly,
        Self::BlobPostPut,
        Self::BlobChunked,
        Self::BlobStreaming,
        Self::BlobMount,
        Self::BlobAnonymousMount,
        Self::BlobGet,
        Self::BlobGetRange,
        Self::BlobHead,
        Self::BlobDelete,
        Self::BlobDeleteAtomic,
        Self::ManifestPutByDigest,
        Self::ManifestPutByTag,
        Self::ManifestPutTagParams,
        Self::ManifestPutSubject,
        Self::ManifestGetByDigest,
        Self::ManifestGetByTag,
        Self::ManifestHeadByDigest,
        Self::ManifestHeadByTag,
        Self::ManifestDelete,
        Self::ManifestDeleteAtomic,
        Self::Referrers,
    ];
}

/// One cell of the matrix.
#[derive(Debug, Default)]
struct Cell {
    passed: usize,
    faults: Vec<Fault>,
}

/// The matrix as it fills.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// Names of the data sets, in the order they were used.
    sets: Vec<&'static str>,
    cells: BTreeMap<(Category, usize), Cell>,
}

impl Report {
    /// Notes one check under everything it says something about; the value, if it passed.
    pub(super) fn note<T>(
        &mut self,
        set: &'static str,
        categories: &[Category],
        result: Result<T, Fault>,
    ) -> Option<T> {
        let column = self.sets.iter().position(|known| *known == set).unwrap_or_else(|| {
            self.sets.push(set);
            self.sets.len() - 1
        });
        for category in categories {
            let cell = self.cells.entry((*category, column)).or_default();
            match &result {
                Ok(_) => cell.passed += 1,
                Err(fault) => cell.faults.push(fault.clone()),
            }
        }
        result.ok()
    }

    /// Checks that passed and failed.
    pub(super) fn totals(&self) -> (usize, usize) {
        self.cells.values().fold((0, 0), |(passed, failed), cell| {
            (passed + cell.passed, failed + cell.faults.len())
        })
    }

    /// Whether a category was tried with a data set.
    pub(super) fn was_tried(&self, category: Category, set: &str) -> bool {
        let column = self.sets.iter().position(|known| *known == set);
        column.is_some_and(|column| self.cells.contains_key(&(category, column)))
    }

    /// Whether a category passed somewhere and failed nowhere.
    pub(super) fn passes(&self, category: Category) -> bool {
        let cells: Vec<&Cell> =
            self.cells.iter().filter(|((c, _), _)| *c == category).map(|(_, cell)| cell).collect();
        cells.iter().any(|cell| cell.passed > 0) && cells.iter().all(|cell| cell.faults.is_empty())
    }

    /// Every fault, with its place.
    pub(super) fn faults(&self) -> String {
        let mut text = String::new();
        for ((category, column), cell) in &self.cells {
            for fault in &cell.faults {
                let _ = writeln!(text, "{category:?} · {}: {fault}", self.sets[*column]);
            }
        }
        text
    }
}

impl std::fmt::Display for Report {
    /// Categories down, data sets across; each cell says how many checks passed, or that one failed.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (number, set) in self.sets.iter().enumerate() {
            writeln!(f, "{:>3} = {set}", number + 1)?;
        }
        write!(f, "\n{:<22}", "")?;
        for number in 1..=self.sets.len() {
            write!(f, "{number:>4}")?;
        }
        writeln!(f)?;
        for category in Category::ALL {
            write!(f, "{:<22}", format!("{category:?}"))?;
            for column in 0..self.sets.len() {
                match self.cells.get(&(category, column)) {
                    None => write!(f, "{:>4}", "·")?,
                    Some(cell) if cell.faults.is_empty() => write!(f, "{:>4}", cell.passed)?,
                    Some(_) => write!(f, "{:>4}", "✗")?,
                }
            }
            writeln!(f)?;
        }
        let (passed, failed) = self.totals();
        writeln!(f, "\n{passed} passed, {failed} failed, 0 skipped")
    }
}
