//! Translates labels of a data set into those of a network: by the classes' names, because numbers depend on which folders happen
//! to be there and shift as soon as one is missing, or, where that is asked for, by number or by the user's list.

use std::collections::BTreeMap;
#[cfg(not(target_arch = "wasm32"))]
use std::path::Path;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use super::natural::natural;

#[cfg(not(target_arch = "wasm32"))]
use crate::files;
use crate::{Error, Result};

/// How the classes of images are matched with a network's classes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ClassMap {
    /// Classes are matched by name, or by number where the images or the network have no names.
    #[default]
    ByName,
    /// Classes are matched by number, whatever their names are.
    AsGiven,
    /// Classes are matched by the user's list of pairs: a class of the images and a class of the network, each by name or
    /// number.
    Listed(Vec<(String, String)>),
}

/// The number and names of a data set's or a network's classes.
#[derive(Clone, Copy, Debug)]
pub struct Classes<'a> {
    /// The name of each class, in the order of labels; empty where there are no names.
    pub names: &'a [String],
    /// The number of classes.
    pub count: u32,
}

impl Classes<'_> {
    /// Finds the class that a person names: by its exact name, by its name in other capitals, without accents, or with other characters
    /// between words, or else by its number.
    ///
    /// # Errors
    /// `Mismatch` for a text that is no class, and for a name that several classes have.
    pub fn find(&self, text: &str) -> Result<u32> {
        match called(self.names, text, typed)[..] {
            [class] => Ok(class),
            [] => text.parse().ok().filter(|&class| class < self.count).ok_or_else(|| {
                let below = format!("a number below {}", self.count);
                let wanted = match self.names {
                    [] => below,
                    names => format!("{below} or a name of {}", crate::error::listed(names)),
                };
                Error::mismatch("class", format_args!("{text:?}"), wanted)
            }),
            [first, second, ..] => Err(Error::mismatch(
                "class",
                format_args!("{text:?}, although classes {first} and {second} have this name"),
                "the number of one of them",
            )),
        }
    }

    /// Whether the names only count the classes, from 0 in their order, as folders called `0` to `9` do. Such names say no more
    /// than the labels.
    fn are_counted(&self) -> bool {
        (0..).zip(self.names).all(|(label, name): (u32, _)| *name == label.to_string())
    }

    /// Whether the names are in the order of their numbers, 2 before 10, and would be in another one by their letters, as
    /// torchvision's `ImageFolder` sorts them. Which of the two a network without names has learnt cannot be known.
    fn order_is_open(&self) -> bool {
        let by_number = |pair: &[String]| matches!(pair, [a, b] if natural(a, b).is_lt());
        let by_letters = |pair: &[String]| matches!(pair, [a, b] if a < b);
        self.names.windows(2).all(by_number) && !self.names.windows(2).all(by_letters)
    }
}

/// The error for images whose classes may be in either of two orders.
fn open_order(images: Classes) -> Error {
    let mut letters = images.names.to_vec();
    letters.sort();
    Error::mismatch(
        "classes",
        format_args!(
            "a network without class names, and images of {}, whose order in torchvision's ImageFolder is {}",
            shown(images),
            crate::error::listed(&letters)
        ),
        "to be told which of these two orders of classes the network has learnt: give it by `convert --class-names LIST` or by \
         class_to_idx.json beside the folders, or take the images' order by --labels-as-given",
    )
}

/// The network's class for each label of the images, as [`ClassMap::relabelling`] found it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relabelling {
    /// For each label of the images, the network's class that it stands for.
    pub labels: Vec<u32>,
    /// A note for the user about how the classes were matched, if there is something to know.
    pub note: Option<String>,
}

impl Relabelling {
    /// Returns whether all labels stay the same.
    pub fn is_identity(&self) -> bool {
        (0..).zip(&self.labels).all(|(from, &to)| from == to)
    }
}

impl ClassMap {
    /// Reads a file that matches classes: each line is `IMAGES-CLASS = NETWORK-CLASS`, by names or numbers; empty lines and those
    /// that begin with `#` are skipped.
    ///
    /// # Errors
    /// `BadFile`, with the line, for any other.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn read(path: &Path) -> Result<Self> {
        let text = files::read_text(path)?;
        let lines = (1..).zip(text.lines().map(str::trim));
        let kept = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let pair = |(number, line): (usize, &str)| {
            let (from, to) = line.rsplit_once('=').ok_or_else(|| {
                let reason = format_args!(
                    "line {number} is {line:?}, but has to be IMAGES-CLASS = NETWORK-CLASS"
                );
                Error::bad_file(path, reason)
            })?;
            Ok((from.trim().to_owned(), to.trim().to_owned()))
        };
        kept.map(pair).collect::<Result<_>>().map(Self::Listed)
    }

    /// Finds the network's class for each label of the images.
    ///
    /// # Errors
    /// `Mismatch`, with both lists, where a class of the images is none of the network's, or is two of them.
    pub fn relabelling(&self, images: Classes, network: Classes) -> Result<Relabelling> {
        match self {
            Self::ByName if images.names.is_empty() || network.names.is_empty() => {
                if images.order_is_open() {
                    return Err(open_order(images));
                }
                let side =
                    if images.names.is_empty() { "the images have" } else { "the network has" };
                let note = format!("{side} no class names: labels match by number");
                as_given(images, network, Some(note))
            }
            Self::AsGiven => as_given(images, network, None),
            Self::ByName if images.names == network.names => as_given(images, network, None),
            Self::ByName
                if images.are_counted()
                    && !images.names.iter().any(|name| network.names.contains(name)) =>
            {
                let note = "the images' class names are numbers from 0: these are taken as the network's labels";
                as_given(images, network, Some(note.into()))
            }
            Self::ByName => {
                let find = |name: &String| by_name(name, images, network);
                let labels = images.names.iter().map(find).collect::<Result<_>>()?;
                Ok(Relabelling { labels, note: None })
            }
            Self::Listed(pairs) => listed(pairs, images, network),
        }
    }
}

fn as_given(images: Classes, network: Classes, note: Option<String>) -> Result<Relabelling> {
    if images.count > network.count {
        return Err(Error::mismatch(
            "classes",
            format_args!("images of {}", shown(images)),
            format_args!("no more classes than the network's {}", shown(network)),
        ));
    }
    Ok(Relabelling { labels: (0..images.count).collect(), note })
}

/// A name as other systems would write it: letters with their accents in one piece (Unicode's form C).
pub(super) fn composed(name: &str) -> String {
    name.nfc().collect()
}

/// Returns a name without differences of case, and of the characters between words.
fn plain(name: &str) -> String {
    composed(name.trim()).to_lowercase().replace(['_', '-'], " ")
}

/// Returns a name as somebody may type it: without capitals and accents, and with a space for each character between words.
pub(crate) fn typed(name: &str) -> String {
    let letters = name.nfd().filter(|letter| !is_combining_mark(*letter));
    letters.collect::<String>().to_lowercase().replace(['_', '-'], " ")
}

/// The classes that have exactly this name, or else those whose name is the same after `plain`.
fn called(names: &[String], name: &str, plain: fn(&str) -> String) -> Vec<u32> {
    let same = |equal: &dyn Fn(&str) -> bool| -> Vec<u32> {
        (0..).zip(names).filter(|(_, other)| equal(other)).map(|(at, _)| at).collect()
    };
    let exactly = same(&|other| other == name);
    if !exactly.is_empty() {
        return exactly;
    }
    let name = plain(name);
    same(&|other| plain(other) == name)
}

fn by_name(name: &str, images: Classes, network: Classes) -> Result<u32> {
    let refused = |what: &str| {
        Err(Error::mismatch(
            "classes",
            format_args!("images of {}, of which {name:?} {what}", shown(images)),
            format_args!(
                "only those of the network, which has {}; match each class of the images by a line of --class-map FILE, or all by number with \
                 --labels-as-given (in a config model.classes = \"FILE\" or \"as-given\")",
                shown(network)
            ),
        ))
    };
    match called(network.names, name, plain)[..] {
        [class] => Ok(class),
        [] => refused("is not a class of the network"),
        _ => refused("is the name of several classes of the network"),
    }
}

/// Finds a class of one side of a class map by its name, or by its number where no class has this name. `whose` is the
/// side's name in errors.
fn class_of(text: &str, whose: &str, side: Classes) -> Result<u32> {
    let name = composed(text);
    let named: Vec<u32> = (0..)
        .zip(side.names)
        .filter(|(_, other)| composed(other) == name)
        .map(|(at, _)| at)
        .collect();
    let number = || text.trim().parse().ok().filter(|&number| number < side.count);
    match named[..] {
        [class] => Ok(class),
        [] => number().ok_or_else(|| {
            let wanted = format!("one of {whose} {}", shown(side));
            Error::mismatch("class map", format_args!("{text:?}"), wanted)
        }),
        [first, second, ..] => Err(Error::mismatch(
            "class map",
            format_args!(
                "{text:?}, the name of classes {first} and {second} among {whose} {}",
                shown(side)
            ),
            "a class's number in place of the name",
        )),
    }
}

fn listed(pairs: &[(String, String)], images: Classes, network: Classes) -> Result<Relabelling> {
    let mut found: BTreeMap<u32, u32> = BTreeMap::new();
    for (from, to) in pairs {
        let label = class_of(from, "the images'", images)?;
        let class = class_of(to, "the network's", network)?;
        if found.insert(label, class).is_some_and(|before| before != class) {
            return Err(Error::mismatch(
                "class map",
                format_args!("two lines for the images' class {from:?}"),
                "one line for each class",
            ));
        }
    }
    let name = |label: u32| images.names.get(label as usize).cloned();
    let missing = |label: u32| {
        let name = name(label).unwrap_or_else(|| label.to_string());
        Error::mismatch(
            "class map",
            format_args!("no line for {name:?}"),
            "one line for each class of the images",
        )
    };
    let of = |label| found.get(&label).copied().ok_or_else(|| missing(label));
    let labels = (0..images.count).map(of).collect::<Result<_>>()?;
    Ok(Relabelling { labels, note: None })
}

fn shown(side: Classes) -> String {
    let Classes { names, count } = side;
    if names.is_empty() {
        return format!("{count} classes without names");
    }
    format!("{count} classes: {}", crate::error::listed(names))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accents_and_their_letters_are_one_piece() {
        assert_eq!(composed("e\u{301}"), "\u{e9}");
    }

    #[test]
    fn a_class_is_found_by_its_name_as_typed_or_by_its_number() {
        let names = ["T-shirt", "caf\u{e9}", "Boot", "boot", "0"].map(String::from);
        let all = Classes { names: &names, count: 5 };
        for (text, class) in
            [("t shirt", 0), ("CAFE", 1), ("Boot", 2), ("boot", 3), ("0", 4), ("1", 1)]
        {
            assert_eq!(all.find(text).unwrap(), class, "{text}");
        }
        let said = |text: &str| all.find(text).unwrap_err().to_string();
        assert!(said("BOOT").contains("classes 2 and 3 have this name"), "{}", said("BOOT"));
        for text in ["hat", "5", "-1", ""] {
            assert!(said(text).contains("a number below 5 or a name"), "{}", said(text));
        }
        assert_eq!(Classes { names: &[], count: 2 }.find("1").unwrap(), 1);
    }

    /// A network of PyTorch's that learnt from folders 1 to 11 by `ImageFolder` has 10 as its second class.
    #[test]
    fn numbered_folders_and_a_network_without_names_are_refused() {
        let names: Vec<String> = (1..=11).map(|number| number.to_string()).collect();
        let (images, network) =
            (Classes { names: &names, count: 11 }, Classes { names: &[], count: 11 });
        let said = ClassMap::ByName.relabelling(images, network).unwrap_err().to_string();
        for words in ["1, 10, 11, 2", "--class-names", "class_to_idx.json", "--labels-as-given"] {
            assert!(said.contains(words), "{said}");
        }
        assert!(ClassMap::AsGiven.relabelling(images, network).unwrap().is_identity());
        let nine = Classes { names: &names[..9], count: 9 };
        assert!(ClassMap::ByName.relabelling(nine, network).unwrap().is_identity());
    }
}
