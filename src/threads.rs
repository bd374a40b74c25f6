//! Spreads work over threads, with one policy: as many threads as there are cores, fewer where the system starts no more. A
//! panic in the work, such as a driver's or a decoder's, becomes an error for the caller and unwinds no further.

#[cfg(any(not(target_arch = "wasm32"), feature = "data"))]
use crate::Error;
use crate::Result;
#[cfg(any(not(target_arch = "wasm32"), feature = "data"))]
use std::any::Any;
#[cfg(any(not(target_arch = "wasm32"), feature = "data"))]
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Applies `work` to each item on several threads, and returns the results in the items' order. Threads take items one by
/// one, as some take much longer than others; this thread takes part. `doing` names the work in errors. `doing` is what
/// errors say that it was.
///
/// # Errors
/// The first item's whose work failed or panicked; what was not begun by then is not begun any more.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn map<T: Sync, U: Send>(
    doing: &str,
    items: &[T],
    work: impl Fn(&T) -> Result<U> + Sync,
) -> Result<Vec<U>> {
    use std::num::NonZero;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::thread::{Builder, available_parallelism, scope};
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let some = || {
        let taken = std::iter::from_fn(|| {
            let i = next.fetch_add(1, Ordering::Relaxed);
            let item = items.get(i).filter(|_| !failed.load(Ordering::Relaxed))?;
            let made = caught(doing, || work(item));
            failed.fetch_or(made.is_err(), Ordering::Relaxed);
            Some((i, made))
        });
        taken.collect::<Vec<_>>()
    };
    let cores = available_parallelism().map_or(1, NonZero::get);
    let mut made = scope(|scope| {
        // Where the system gives no thread, those that there are do all.
        let start = |_| Builder::new().spawn_scoped(scope, some).ok();
        let others: Vec<_> = (1..cores.min(items.len())).filter_map(start).collect();
        let mut made = some();
        for other in others {
            made.extend(other.join().map_err(|panic| panicked(doing, &*panic))?);
        }
        Ok::<_, Error>(made)
    })?;
    made.sort_by_key(|&(i, _)| i);
    made.into_iter().map(|(_, made)| made).collect()
}

/// In a browser there is one thread, and the GPU process does what takes long.
#[cfg(target_arch = "wasm32")]
pub(crate) fn map<T, U>(
    _doing: &str,
    items: &[T],
    work: impl Fn(&T) -> Result<U>,
) -> Result<Vec<U>> {
    items.iter().map(work).collect()
}

/// Runs `work`, and turns a panic in it into an error.
#[cfg(any(not(target_arch = "wasm32"), feature = "data"))]
pub(crate) fn caught<T>(doing: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    // Whatever the work had in its hands is dropped or handed back as an error.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(panicked(doing, &*panic)))
}

/// The error for a panic.
#[cfg(any(not(target_arch = "wasm32"), feature = "data"))]
pub(crate) fn panicked(doing: &str, panic: &(dyn Any + Send)) -> Error {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let reason = format!("a thread panicked ({})", text.unwrap_or("no message"));
    Error::Thread { doing: doing.into(), reason }
}

/// The error where the system starts no thread.
#[cfg(feature = "data")]
pub(crate) fn none(doing: &str, error: &std::io::Error) -> Error {
    Error::Thread { doing: doing.into(), reason: format!("cannot start a thread ({error})") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_items_in_their_order() {
        let items: Vec<u32> = (0..1000).collect();
        let doubled = map("doubling", &items, |&i| Ok(2 * i)).unwrap();
        assert!(doubled.iter().zip(&items).all(|(doubled, i)| *doubled == 2 * i));
        assert_eq!(doubled.len(), 1000);
        assert!(map("nothing", &[], |&i: &u32| Ok(i)).unwrap().is_empty());
    }

    #[test]
    fn a_panic_is_an_error_of_its_item() {
        let work = |&i: &usize| if i == 3 { panic!("number {i}") } else { Ok(i) };
        let error = map("counting", &[1, 2, 3, 4], work).unwrap_err();
        assert_eq!(error.to_string(), "counting: a thread panicked (number 3)");
    }

    #[test]
    fn the_rest_is_left_after_an_error() {
        // The items after the first take a millisecond each, so that not even many cores finish them all before the first
        // one's error is seen, which takes no time.
        let begun = std::sync::atomic::AtomicUsize::new(0);
        let work = |&i: &usize| {
            begun.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            if i == 0 {
                return Err(Error::Thread {
                    doing: "counting".into(),
                    reason: "it is zero".into(),
                });
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
            Ok(i)
        };
        let error = map("counting", &(0..100_000).collect::<Vec<_>>(), work).unwrap_err();
        assert_eq!(error.to_string(), "counting: it is zero");
        assert!(begun.into_inner() < 100_000);
    }
}
