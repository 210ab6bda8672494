//! Which events are logged: the variable `RCS_LOG`.

use std::ffi::OsString;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;

use super::FILTER_VARIABLE;

/// The levels, from the fewest lines to the most.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// A library whose lines only its authors can read. They are logged if the filter names it.
const TALKATIVE: &str = "openraft";

/// Reads the filter; `info` if there is none. Parts of the program that the filter does not name are logged from `info` on.
///
/// # Errors
/// A sentence that names the wrong part and lists the levels.
pub(super) fn read(value: Option<OsString>) -> Result<EnvFilter, String> {
    let value = value.unwrap_or_default();
    let wrong = |part: &str, why: &str| {
        format!(
            "{FILTER_VARIABLE}: {part:?} {why}. The levels are {}; for one part of the program write TARGET=LEVEL, for example \
             {FILTER_VARIABLE}=info,rcs_proto=debug",
            LEVELS.join(", ")
        )
    };
    let text = value.to_str().ok_or_else(|| wrong(&value.to_string_lossy(), "is not UTF-8 text"))?;
    let mut has_level = false;
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        // The library reads a single word that is not a level as a target, and then logs nothing else.
        if LEVELS.iter().any(|level| part.eq_ignore_ascii_case(level)) {
            has_level = true;
        } else if !part.contains('=') {
            return Err(wrong(part, "is not a level"));
        }
    }
    let usual = if has_level { LevelFilter::ERROR } else { LevelFilter::INFO };
    let text = if has_level { text.to_owned() } else { format!("{usual},{text}") };
    // openraft tells each vote and each step at the level info; what a cluster does is told by the router itself.
    let text = if text.contains(TALKATIVE) { text } else { format!("{TALKATIVE}=off,{text}") };
    EnvFilter::builder()
        .with_default_directive(usual.into())
        .parse(text.replace(' ', ""))
        .map_err(|error| wrong(&value.to_string_lossy(), &format!("is not a filter ({error})")))
}

#[cfg(test)]
mod tests {
    fn read(text: &str) -> Result<String, String> {
        super::read(Some(text.into())).map(|filter| filter.to_string())
    }

    #[test]
    fn levels_and_targets_are_read() {
        for (text, expected) in [
            ("", "openraft=off,info"),
            ("debug", "openraft=off,debug"),
            ("WARN", "openraft=off,warn"),
            ("off", "openraft=off,off"),
            ("rcs_proto=debug", "rcs_proto=debug,openraft=off,info"),
            ("error, rcs_core::engine=trace", "rcs_core::engine=trace,openraft=off,error"),
            ("info,openraft=debug", "openraft=debug,info"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(expected), "{text}");
        }
        assert_eq!(super::read(None).unwrap().to_string(), "openraft=off,info");
    }

    #[test]
    fn a_wrong_filter_is_refused_with_the_levels() {
        for text in
            ["verbose", "warning", "info,all", "rcs_router", "rcs_router=verbose", "=", "7", "info;debug"]
        {
            let told = read(text).expect_err(text);
            assert!(
                told.starts_with("RCS_LOG: ")
                    && told.contains("The levels are off, error, warn, info, debug, trace;"),
                "{text}: {told}"
            );
        }
    }
}
