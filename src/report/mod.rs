//! Makes the reports of training runs: PNG pictures, curves and `report.html`, from a run's own records; and carries out whole
//! runs, from training to the report. The program and the Python package share them.

mod complete;
mod figures;
mod font;
mod live;
mod page;
pub mod pictures;
pub(crate) mod plot;
#[cfg(feature = "cli")]
pub(crate) mod scatter;

pub use complete::{Completed, complete};
pub use figures::{of_run, trajectory};
pub use live::LiveReport;
pub use page::{Figure, ReportData, html};
#[cfg(feature = "cli")]
pub(crate) use page::{page, picture, tiles};

/// `1:05`, or `2:01:05` from an hour on.
pub(crate) fn clock(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes}:{seconds:02}")
    }
}

#[test]
fn hours_are_told_where_there_are_any() {
    assert_eq!([clock(65.4), clock(7265.4)], ["1:05", "2:01:05"]);
}
