//! Writes to the terminal. Characters that a terminal would act on, such as those of escape sequences, are replaced by visible
//! escapes in all that the program prints, because it also prints names and texts that come from files.

use std::io::{ErrorKind, Write};

/// Prints a result to stdout. A reader that has read enough, as `head`, is no error.
pub fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(lines(text).as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Prints a text on stderr. That nobody reads it is no reason to stop.
pub fn tell(text: &str) {
    drop(writeln!(std::io::stderr(), "{}", lines(text)));
}

/// Returns the text with every character that a terminal would act on written out, except ends of lines and tabs.
pub fn lines(text: &str) -> String {
    escaped(text, |c| acts(c) && c != '\n' && c != '\t')
}

/// Makes a name or a value fit for one line of a terminal: ends of lines are written out too.
pub fn printable(text: &str) -> String {
    escaped(text, acts)
}

/// Whether a terminal acts on a character rather than showing it: control characters, and those that turn the direction
/// of writing, with which a name can look like another.
fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn escaped(text: &str, acts: impl Fn(char) -> bool) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if acts(c) { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_acts_on_is_written_out() {
        assert_eq!(lines("a\u{1b}[2J b\n\tc\r"), "a\\u{1b}[2J b\n\tc\\r");
        assert_eq!(printable("coat\nbag\u{202e}"), "coat\\nbag\\u{202e}");
        assert_eq!(lines("Kleid, été, 靴"), "Kleid, été, 靴");
    }
}
