//! When rules are applied by themselves.

use std::str::FromStr;

use chrono::{Datelike as _, Days, NaiveTime, Weekday};

use crate::base::{Error, Result, Timestamp};

/// How often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Every {
    /// Only by hand.
    #[default]
    Off,
    Day,
    Week,
}

impl Every {
    /// The word stored and used by the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Day => "daily",
            Self::Week => "weekly",
        }
    }
}

impl FromStr for Every {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        match text {
            "off" => Ok(Self::Off),
            "daily" => Ok(Self::Day),
            "weekly" => Ok(Self::Week),
            _ => Err(Error::invalid("schedule.every", "must be off, daily or weekly")),
        }
    }
}

/// A schedule, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    pub every: Every,
    /// 0 to 23.
    pub hour: u8,
    /// Only for a weekly schedule.
    pub weekday: Weekday,
}

impl Default for Schedule {
    fn default() -> Self {
        Self { every: Every::Off, hour: 3, weekday: Weekday::Mon }
    }
}

impl Schedule {
    /// Checks the numbers; `weekday` counts from 0, Monday.
    pub fn new(every: Every, hour: i64, weekday: i64) -> Result<Self> {
        let hour = u8::try_from(hour)
            .ok()
            .filter(|hour| *hour < 24)
            .ok_or_else(|| Error::invalid("schedule.hour", "must be between 0 and 23"))?;
        let weekday =
            u8::try_from(weekday).ok().and_then(|day| Weekday::try_from(day).ok()).ok_or_else(
                || Error::invalid("schedule.weekday", "must be between 0, Monday, and 6, Sunday"),
            )?;
        Ok(Self { every, hour, weekday })
    }

    /// The first time after `now`.
    pub fn next(&self, now: Timestamp) -> Option<Timestamp> {
        let at = NaiveTime::from_hms_opt(u32::from(self.hour), 0, 0)?;
        (0..=7).find_map(|days| {
            let day = now.date_naive().checked_add_days(Days::new(days))?;
            let fits = match self.every {
                Every::Off => false,
                Every::Day => true,
                Every::Week => day.weekday() == self.weekday,
            };
            let time = day.and_time(at).and_utc();
            (fits && time > now).then_some(time)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    #[test]
    fn the_next_time_is_always_later() {
        let daily = Schedule::new(Every::Day, 3, 0).expect("fits");
        assert_eq!(daily.next(at("2026-11-24T02:59:59Z")), Some(at("2026-11-24T03:00:00Z")));
        assert_eq!(daily.next(at("2026-11-24T03:00:00Z")), Some(at("2026-11-25T03:00:00Z")));
        assert_eq!(daily.next(at("2026-12-31T23:00:00Z")), Some(at("2027-01-01T03:00:00Z")));
        // A Tuesday.
        let weekly = Schedule::new(Every::Week, 3, 1).expect("fits");
        assert_eq!(weekly.next(at("2026-11-24T02:00:00Z")), Some(at("2026-11-24T03:00:00Z")));
        assert_eq!(weekly.next(at("2026-11-24T03:00:00Z")), Some(at("2026-12-01T03:00:00Z")));
        assert_eq!(Schedule::default().next(at("2026-11-24T02:00:00Z")), None);
        for (hour, weekday) in [(24, 0), (-1, 0), (0, 7), (0, -1)] {
            assert!(Schedule::new(Every::Day, hour, weekday).is_err());
        }
    }
}
