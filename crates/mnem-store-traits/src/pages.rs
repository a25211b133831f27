//! Listings that hold one page of names.

use crate::StoreError;

/// A listing made of pages, for implementers of `cids` and `keys`. Between two pages, it holds only one page of names.
///
/// `page(after)` returns the names that follow `after` (the first ones for `None`), at most one page of them. An empty
/// page is the end. An error is yielded once and ends the listing.
pub fn pages<'a, T: Clone + Send + 'a>(
    page: impl FnMut(Option<T>) -> Result<Vec<T>, StoreError> + Send + 'a,
) -> Box<dyn Iterator<Item = Result<T, StoreError>> + Send + 'a> {
    Box::new(Pages { page, current: Vec::new().into_iter(), last: None, ended: false })
}

struct Pages<T, F> {
    page: F,
    current: std::vec::IntoIter<T>,
    last: Option<T>,
    ended: bool,
}

impl<T: Clone, F: FnMut(Option<T>) -> Result<Vec<T>, StoreError>> Iterator for Pages<T, F> {
    type Item = Result<T, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(name) = self.current.next() {
            return Some(Ok(name));
        }
        if self.ended {
            return None;
        }
        match (self.page)(self.last.take()) {
            Ok(names) => {
                self.last = names.last().cloned();
                self.ended = names.is_empty();
                self.current = names.into_iter();
                self.current.next().map(Ok)
            }
            Err(error) => {
                self.ended = true;
                Some(Err(error))
            }
        }
    }
}
