//! Values as they stand in a failure: short, whatever their size.

use std::{
    error::Error,
    fmt::{self, Write as _},
};

use bytes::Bytes;
use cid::Cid;

use crate::{Capabilities, ErrorKind, HeadsCapabilities, MissingLink, StoreError, error::InFull};

/// Items of a list, and bytes of a block, that are written out.
const SHOWN: usize = 8;

/// Longest text that is written out as one.
const TEXT_SHOWN: usize = 32;

/// A value that may stand in a failure.
pub(crate) trait Show {
    fn show(&self) -> String;
}

macro_rules! show_as_debug {
    ($($type:ty),*) => {$(
        impl Show for $type {
            fn show(&self) -> String {
                format!("{self:?}")
            }
        }
    )*};
}

show_as_debug!((), bool, u64, usize, Capabilities, HeadsCapabilities, MissingLink, ErrorKind);

impl Show for Cid {
    fn show(&self) -> String {
        self.to_string()
    }
}

impl Show for String {
    fn show(&self) -> String {
        self.clone()
    }
}

impl Show for Bytes {
    fn show(&self) -> String {
        if self.is_empty() {
            return "no bytes".into();
        }
        let is_plain = |byte: &u8| byte.is_ascii_graphic() || *byte == b' ';
        if self.len() <= TEXT_SHOWN && self.iter().all(is_plain) {
            return format!("{} bytes: {:?}", self.len(), String::from_utf8_lossy(self));
        }
        let mut text = format!("{} bytes:", self.len());
        for byte in self.iter().take(SHOWN) {
            let _ = write!(text, " {byte:02x}");
        }
        if self.len() > SHOWN {
            text += " …";
        }
        text
    }
}

impl<T: Show> Show for Option<T> {
    fn show(&self) -> String {
        match self {
            Some(value) => format!("Some({})", value.show()),
            None => "None".into(),
        }
    }
}

impl<T: Show> Show for Vec<T> {
    fn show(&self) -> String {
        let mut text = String::from("[");
        for (i, value) in self.iter().take(SHOWN).enumerate() {
            text += if i == 0 { "" } else { ", " };
            text += &value.show();
        }
        if self.len() > SHOWN {
            let _ = write!(text, ", … {} in all", self.len());
        }
        text + "]"
    }
}

impl<T: Show> Show for Result<T, StoreError> {
    fn show(&self) -> String {
        match self {
            Ok(value) => format!("Ok({})", value.show()),
            Err(error) => format!("Err({:?}: {})", error.kind(), error_text(error)),
        }
    }
}

/// An error and everything below it, on one line.
pub(crate) fn error_text(error: &(dyn Error + 'static)) -> String {
    InFull(error).to_string()
}

/// How many, of what, and which: `3 of 1,100 missing, such as …`.
pub(crate) fn examples(cids: &[Cid]) -> impl fmt::Display {
    cids.to_vec().show()
}
