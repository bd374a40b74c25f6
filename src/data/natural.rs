//! The order in which classes are numbered by their names: digits in names are compared as numbers, so that `b2` comes before
//! `b10`.

use std::cmp::Ordering;

/// The order of names in which 2 comes before 10.
pub(super) fn natural(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a, b);
    while !left.is_empty() && !right.is_empty() {
        let (first, second) = (part(left), part(right));
        let order = match [first, second].map(|part| part.starts_with(|c: char| c.is_ascii_digit()))
        {
            [true, true] => {
                let [x, y] = [first, second].map(|digits| digits.trim_start_matches('0'));
                x.len().cmp(&y.len()).then_with(|| x.cmp(y))
            }
            _ => first.cmp(second),
        };
        if order != Ordering::Equal {
            return order;
        }
        left = left.get(first.len()..).unwrap_or_default();
        right = right.get(second.len()..).unwrap_or_default();
    }
    left.len().cmp(&right.len()).then_with(|| a.cmp(b))
}

/// The digits that a text begins with, or its first letter.
fn part(text: &str) -> &str {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let end = if digits > 0 { digits } else { text.chars().next().map_or(0, char::len_utf8) };
    text.get(..end).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_the_order_that_people_mean() {
        let mut names = ["10", "9", "b2", "b10", "b1", "a", "é", "00", "0", "b1x", "2"];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(names, ["0", "00", "2", "9", "10", "a", "b1", "b1x", "b2", "b10", "é"]);
        assert_eq!(natural("a1", "a1"), Ordering::Equal);
    }
}
