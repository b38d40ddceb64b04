//! Resource quantities in Kubernetes notation: `250m` CPU, `64Mi` memory; sizes for people.
//!
//! Grammar: <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/>.

use std::fmt;
use std::str::FromStr;

/// CPU time per second, in thousandths of a core.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Cpu(u64);

/// Memory, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Memory(u64);

/// Why a quantity was refused, with the fix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuantityError(String);

impl fmt::Display for QuantityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl std::error::Error for QuantityError {}

impl Cpu {
    /// From thousandths of a core.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }
    /// Thousandths of a core.
    pub const fn millis(self) -> u64 {
        self.0
    }
    /// Billionths of a core, as the Docker API wants it.
    pub fn nanos(self) -> i64 {
        i64::try_from(self.0.saturating_mul(1_000_000)).unwrap_or(i64::MAX)
    }
}

impl Memory {
    /// From bytes.
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }
    /// Bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

/// Bytes in decimal units, as Docker shows them: "60.6 MB".
pub fn size(bytes: i64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if bytes < 1000 {
        return format!("{} B", bytes.max(0));
    }
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let mut value = bytes as f64 / 1000.0;
    let mut unit = 0;
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    let digits = usize::from(value < 99.95);
    let text = format!("{value:.digits$}");
    format!("{} {}", text.strip_suffix(".0").unwrap_or(&text), UNITS[unit])
}

/// Numerator and denominator of a suffix.
fn suffix_scale(suffix: &str) -> Option<(u128, u128)> {
    Some(match suffix {
        "" => (1, 1),
        "n" => (1, 1_000_000_000),
        "u" => (1, 1_000_000),
        "m" => (1, 1_000),
        "k" => (1_000, 1),
        "M" => (1_000_000, 1),
        "G" => (1_000_000_000, 1),
        "T" => (1_000_000_000_000, 1),
        "P" => (1_000_000_000_000_000, 1),
        "E" => (1_000_000_000_000_000_000, 1),
        "Ki" => (1 << 10, 1),
        "Mi" => (1 << 20, 1),
        "Gi" => (1 << 30, 1),
        "Ti" => (1 << 40, 1),
        "Pi" => (1 << 50, 1),
        "Ei" => (1 << 60, 1),
        _ => return None,
    })
}

/// Parses `<digits>[.<digits>][suffix]` into `value × unit`, rounding up as Kubernetes does.
fn parse(text: &str, unit: u128, example: &str) -> Result<u64, QuantityError> {
    let bad = |why: &str| QuantityError(format!("\"{text}\" {why}; write for example {example}"));
    if text.len() > 32 {
        return Err(QuantityError(format!(
            "is too long for a quantity; write for example {example}"
        )));
    }
    if text.starts_with('-') {
        return Err(bad("is negative"));
    }
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(split);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return Err(bad("is not a quantity"));
    }
    if whole.len() + fraction.len() > 20 {
        return Err(bad("has too many digits"));
    }
    let (mul, div) = suffix_scale(suffix).ok_or_else(|| bad("has an unknown unit"))?;
    let digits: u128 =
        format!("{whole}{fraction}").parse().map_err(|_| bad("is not a quantity"))?;
    let decimals = 10u128.pow(u32::try_from(fraction.len()).unwrap_or(0));
    let scaled = digits
        .checked_mul(mul)
        .and_then(|v| v.checked_mul(unit))
        .ok_or_else(|| bad("is too large"))?
        .div_ceil(div * decimals);
    u64::try_from(scaled)
        .ok()
        .filter(|v| i64::try_from(*v).is_ok())
        .ok_or_else(|| bad("is too large"))
}

impl FromStr for Cpu {
    type Err = QuantityError;
    fn from_str(s: &str) -> Result<Self, QuantityError> {
        parse(s, 1000, "\"250m\" or \"1.5\"").map(Self)
    }
}

impl FromStr for Memory {
    type Err = QuantityError;
    fn from_str(s: &str) -> Result<Self, QuantityError> {
        parse(s, 1, "\"64Mi\" or \"1Gi\"").map(Self)
    }
}

impl fmt::Display for Cpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_multiple_of(1000) {
            write!(f, "{}", self.0 / 1000)
        } else {
            write!(f, "{}m", self.0)
        }
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (shift, suffix) in [(40, "Ti"), (30, "Gi"), (20, "Mi"), (10, "Ki")] {
            let unit = 1u64 << shift;
            if self.0 >= unit && self.0.is_multiple_of(unit) {
                return write!(f, "{}{suffix}", self.0 >> shift);
            }
        }
        write!(f, "{}", self.0)
    }
}

macro_rules! serde_text_or_number {
    ($name:ident, $expecting:literal) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }
        impl<'de> serde::Deserialize<'de> for $name {
            /// Text or a plain non-negative number, as Kubernetes accepts both.
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                struct Visitor;
                impl serde::de::Visitor<'_> for Visitor {
                    type Value = $name;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expecting)
                    }
                    fn visit_str<E: serde::de::Error>(self, v: &str) -> Result<$name, E> {
                        v.parse().map_err(E::custom)
                    }
                    fn visit_u64<E: serde::de::Error>(self, v: u64) -> Result<$name, E> {
                        v.to_string().parse().map_err(E::custom)
                    }
                    fn visit_i64<E: serde::de::Error>(self, v: i64) -> Result<$name, E> {
                        v.to_string().parse().map_err(E::custom)
                    }
                    fn visit_f64<E: serde::de::Error>(self, v: f64) -> Result<$name, E> {
                        v.to_string().parse().map_err(E::custom)
                    }
                }
                d.deserialize_any(Visitor)
            }
        }
    };
}
serde_text_or_number!(Cpu, "a CPU quantity such as \"250m\"");
serde_text_or_number!(Memory, "a memory quantity such as \"64Mi\"");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_kubernetes_notation() {
        let cpu = |s: &str| s.parse::<Cpu>().map(Cpu::millis);
        assert_eq!(cpu("50m"), Ok(50));
        assert_eq!(cpu("1.5"), Ok(1500));
        assert_eq!(cpu(".5"), Ok(500));
        assert_eq!(cpu("100u"), Ok(1), "rounds up");
        let memory = |s: &str| s.parse::<Memory>().map(Memory::bytes);
        assert_eq!(memory("64Mi"), Ok(64 << 20));
        assert_eq!(memory("1k"), Ok(1000));
        assert_eq!(memory("1.5Gi"), Ok(3 << 29));
        for bad in
            ["50x", "-1", "", "1..2", "1e999", "abc", "1Mib", "9".repeat(30).as_str(), "99999999E"]
        {
            assert!(bad.parse::<Memory>().is_err(), "{bad}");
        }
    }

    #[test]
    fn prints_what_it_reads() {
        for text in ["50m", "2", "1500m"] {
            assert_eq!(text.parse::<Cpu>().expect("valid").to_string(), text);
        }
        for text in ["64Mi", "1Gi", "1000"] {
            assert_eq!(text.parse::<Memory>().expect("valid").to_string(), text);
        }
    }
}
