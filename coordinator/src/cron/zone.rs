//! Time zones by their names, from the tables that are part of the program: what a schedule means
//! does not depend on the machine.

use jiff::tz::{TimeZone, TimeZoneDatabase};

/// The zone of an IANA name.
///
/// # Errors
///
/// When there is none of this name, in Go's words.
pub fn time_zone(name: &str) -> Result<TimeZone, String> {
    if ["", "UTC"].contains(&name) {
        return Ok(TimeZone::UTC);
    }
    let unknown = || format!("unknown time zone {name}");
    let zone = TimeZoneDatabase::bundled().get(name).map_err(|_| unknown())?;
    // The tables are looked up without regard to case, file systems with it.
    if zone.iana_name() == Some(name) { Ok(zone) } else { Err(unknown()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_exact() {
        assert!(time_zone("Europe/Berlin").is_ok() && time_zone("Etc/GMT+5").is_ok());
        for name in ["Europe/Nowhere", " Europe/Rome", "europe/rome", "LOCAL"] {
            assert_eq!(time_zone(name), Err(format!("unknown time zone {name}")));
        }
    }
}
