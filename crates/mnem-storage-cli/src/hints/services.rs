//! Hints for stores that are given as URLs: what the service needs, and what the program cannot do there.

use mnem_storage::driver::{Location, ServiceFault};

/// Whether the place of a store, quoted for a shell, is a URL.
pub(super) fn is_url(store: &str) -> bool {
    scheme(store).is_some()
}

fn scheme(store: &str) -> Option<String> {
    Location::from(store.trim_matches('\'')).scheme()
}

/// The hint for a service that does not serve the store.
pub(super) fn for_service(fault: &ServiceFault, store: &str) -> String {
    match fault {
        ServiceFault::Unreachable { .. } => {
            "check the network and the address of the server: `endpoint` in the URL, or AWS_ENDPOINT_URL in the \
             environment; then run the same command again"
                .to_owned()
        }
        ServiceFault::Denied { .. } => {
            format!(
                "check the clock, the permissions of the bucket and its credentials in the environment: {}",
                keys(store)
            )
        }
        ServiceFault::NoBucket { .. } => {
            "create the bucket with the tools of the service, or check its name, `region` and `endpoint` in the URL"
                .to_owned()
        }
        ServiceFault::NoCreateIfAbsent => {
            "give a service with conditional writes: `docs/OPERATIONS.md` lists those that are known to have them"
                .to_owned()
        }
        _ => {
            "check `region` and `endpoint` in the URL, or AWS_REGION and AWS_ENDPOINT_URL in the environment".to_owned()
        }
    }
}

/// Where the credentials of a service come from.
fn keys(store: &str) -> &'static str {
    match scheme(store).as_deref() {
        Some("gs") => "GOOGLE_APPLICATION_CREDENTIALS names the file of a service account",
        Some("az" | "abfs") => "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY, or AZURE_STORAGE_SAS_TOKEN",
        _ => "`eval \"$(aws configure export-credentials --format env)\"` sets those of a profile of ~/.aws",
    }
}

/// The backend whose stores are in buckets.
pub(crate) const BUCKET: &str = "bucket";

/// The hint for a damaged log in a bucket, which `copy --salvage` cannot read past the damage. The blocks of large
/// commits are in `pack/` alone.
pub(crate) const FOR_DAMAGED_LOG: &str = "restore the object from an old version or a backup of the bucket; otherwise \
     fetch all other objects of `log/` and `pack/` with the tools of the service: each is an archive, \
     for `mnem-store import FILE --store NEW`";

#[cfg(test)]
mod tests {
    use mnem_storage::Cause;

    use super::*;

    #[test]
    fn each_fault_of_a_service_leads_on() {
        let source = || Cause::new("no");
        for (fault, store, word) in [
            (ServiceFault::Unreachable { source: source() }, "s3://b", "`endpoint`"),
            (ServiceFault::Denied { source: source() }, "'s3://b/x?region=eu'", "aws configure export-credentials"),
            (ServiceFault::Denied { source: source() }, "gs://b", "GOOGLE_APPLICATION_CREDENTIALS"),
            (ServiceFault::Denied { source: source() }, "'abfs://b@a'", "AZURE_STORAGE_ACCOUNT_KEY"),
            (ServiceFault::NoBucket { source: source() }, "s3://b", "create the bucket"),
            (ServiceFault::Refused { source: source() }, "s3://b", "`region`"),
            (ServiceFault::NoCreateIfAbsent, "s3://b", "conditional writes"),
        ] {
            let hint = for_service(&fault, store);
            assert!(hint.contains(word) && !hint.ends_with('.') && !hint.contains('\n'), "{fault}: {hint}");
        }
    }
}
