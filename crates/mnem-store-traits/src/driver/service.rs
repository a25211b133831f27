//! Failures of the service that keeps a store.

use crate::Cause;

/// Why a service does not serve a store. This is the cause of the [`StoreError::Backend`](crate::StoreError::Backend)
/// of a remote store, so that a program can say what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceFault {
    /// Nothing answers at the address, or not in time.
    #[error("the service cannot be reached")]
    Unreachable {
        /// The error of the connection.
        source: Cause,
    },
    /// The service does not accept the credentials, or they do not allow this.
    #[error("the service denies access")]
    Denied {
        /// The answer.
        source: Cause,
    },
    /// There is no such bucket or container.
    #[error("the service has no such bucket")]
    NoBucket {
        /// The answer.
        source: Cause,
    },
    /// The service does not understand the request: it is another service, or another region.
    #[error("the service refuses the request")]
    Refused {
        /// The answer.
        source: Cause,
    },
    /// The service creates an object even if it exists. Two writers would overwrite each other.
    #[error(
        "the service does not support conditional creation of objects (If-None-Match: *), so it cannot hold a store"
    )]
    NoCreateIfAbsent,
}
