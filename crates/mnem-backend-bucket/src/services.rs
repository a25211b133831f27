//! Clients of the services. Credentials and whatever the URL does not set come from the environment.

use std::{sync::Arc, time::Duration};

use object_store::{
    BackoffConfig, ClientConfigKey, Error, ObjectStore, Result, RetryConfig,
    aws::{AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut},
    azure::{AzureConfigKey, MicrosoftAzureBuilder},
    gcp::{GoogleCloudStorageBuilder, GoogleConfigKey},
};

use crate::{
    address::{Bucket, Provider},
    connection::{Connector, is_yes},
    limits::{CONNECT, LONGEST_REQUEST, PAUSE, REQUEST},
};

/// A client for the bucket. It makes no request yet.
pub(crate) fn connect(bucket: &Bucket) -> Result<Arc<dyn ObjectStore>> {
    // Without a provider, building a client panics. An error means that the program has installed one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match bucket.provider {
        Provider::S3 => connect_s3(bucket),
        Provider::Google => connect_google(bucket),
        Provider::Azure => connect_azure(bucket),
    }
}

/// The engine repeats requests itself, and knows which may have had an effect. A client that repeated them would show
/// the answer to the last one alone.
fn retry() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig { init_backoff: PAUSE, max_backoff: Duration::from_secs(1), base: 2.0 },
        max_retries: 0,
        retry_timeout: REQUEST,
    }
}

/// Settings of the HTTP client. The engine limits a request by its length, so the client must not limit it to less.
fn http(bucket: &Bucket) -> Vec<(ClientConfigKey, String)> {
    let seconds = |time: Duration| format!("{}s", time.as_secs());
    let mut settings =
        vec![(ClientConfigKey::Timeout, seconds(LONGEST_REQUEST)), (ClientConfigKey::ConnectTimeout, seconds(CONNECT))];
    settings.extend(bucket.settings.allow_http.map(|yes| (ClientConfigKey::AllowHttp, yes.to_string())));
    settings
}

fn connect_s3(bucket: &Bucket) -> Result<Arc<dyn ObjectStore>> {
    Ok(Arc::new(s3(bucket, AmazonS3Builder::from_env())?.with_http_connector(Connector).build()?))
}

/// The settings of a bucket, on top of those of the environment.
pub(crate) fn s3(bucket: &Bucket, mut builder: AmazonS3Builder) -> Result<AmazonS3Builder> {
    for (key, value) in http(bucket) {
        builder = builder.with_config(AmazonS3ConfigKey::Client(key), value);
    }
    if let Some(region) = &bucket.settings.region {
        builder = builder.with_region(region);
    }
    if let Some(endpoint) = &bucket.settings.endpoint {
        // The environment may have set both, and the second one wins.
        builder = builder.with_endpoint(endpoint).with_config(AmazonS3ConfigKey::S3Endpoint, endpoint);
    }
    if let Some(yes) = bucket.settings.virtual_hosted {
        builder = builder.with_virtual_hosted_style_request(yes);
    }
    check_host(bucket, &builder)?;
    let builder = builder.with_bucket_name(&bucket.name).with_conditional_put(S3ConditionalPut::ETagMatch);
    // Not every server with the protocol deletes several objects in one request.
    Ok(builder.with_disable_bulk_delete(true).with_retry(retry()))
}

/// In the style of virtual hosts, the endpoint is the whole address: a bucket that its host does not begin with would be
/// that of somebody else.
fn check_host(bucket: &Bucket, builder: &AmazonS3Builder) -> Result<()> {
    let value = |key| builder.get_config_value(&key);
    let is_virtual = value(AmazonS3ConfigKey::VirtualHostedStyleRequest);
    let is_virtual = is_virtual.is_some_and(|yes| is_yes(&yes));
    let endpoint = value(AmazonS3ConfigKey::S3Endpoint).or_else(|| value(AmazonS3ConfigKey::Endpoint));
    let Some(endpoint) = endpoint.filter(|_| is_virtual) else { return Ok(()) };
    let host = endpoint.split_once("://").map_or(&*endpoint, |(_, host)| host);
    if host.strip_prefix(&*bucket.name).is_some_and(|rest| rest.starts_with('.')) {
        return Ok(());
    }
    let source = format!(
        "with `virtual_hosted_style_request`, the host of `endpoint` must begin with the bucket: {}.HOST",
        bucket.name
    );
    Err(Error::Generic { store: "bucket", source: source.into() })
}

fn connect_google(bucket: &Bucket) -> Result<Arc<dyn ObjectStore>> {
    let mut builder = GoogleCloudStorageBuilder::from_env();
    for (key, value) in http(bucket) {
        builder = builder.with_config(GoogleConfigKey::Client(key), value);
    }
    if let Some(endpoint) = &bucket.settings.endpoint {
        builder = builder.with_base_url(endpoint);
    }
    Ok(Arc::new(builder.with_bucket_name(&bucket.name).with_retry(retry()).with_http_connector(Connector).build()?))
}

fn connect_azure(bucket: &Bucket) -> Result<Arc<dyn ObjectStore>> {
    let mut builder = MicrosoftAzureBuilder::from_env();
    for (key, value) in http(bucket) {
        builder = builder.with_config(AzureConfigKey::Client(key), value);
    }
    if let Some(account) = &bucket.account {
        builder = builder.with_account(account);
    }
    if let Some(endpoint) = &bucket.settings.endpoint {
        builder = builder.with_endpoint(endpoint.clone());
    }
    Ok(Arc::new(builder.with_container_name(&bucket.name).with_retry(retry()).with_http_connector(Connector).build()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Address;

    fn bucket(url: &str) -> Bucket {
        let Address::Bucket(bucket) = Address::of(&url.into()).unwrap() else { panic!("{url}") };
        bucket
    }

    #[test]
    fn the_endpoint_of_the_url_wins_over_those_of_the_environment() {
        let environment = || {
            let builder = AmazonS3Builder::new().with_endpoint("https://one");
            builder.with_config(AmazonS3ConfigKey::S3Endpoint, "https://two")
        };
        let endpoint_of = |url: &str| {
            let builder = s3(&bucket(url), environment()).unwrap();
            builder.get_config_value(&AmazonS3ConfigKey::S3Endpoint)
        };
        assert_eq!(endpoint_of("s3://b?endpoint=https://mine").as_deref(), Some("https://mine"));
        assert_eq!(endpoint_of("s3://b").as_deref(), Some("https://two"));
    }

    #[test]
    fn an_endpoint_of_a_virtual_host_names_the_bucket() {
        let refusal = |url: &str, builder| s3(&bucket(url), builder).err().map(|error| error.to_string());
        for url in ["s3://b", "s3://b?endpoint=https://b.host", "s3://b?endpoint=https://host:1"] {
            assert_eq!(refusal(url, AmazonS3Builder::new()), None, "{url}");
        }
        let is_virtual = "virtual_hosted_style_request=true";
        for (url, is_refused) in [
            (format!("s3://b?{is_virtual}"), false),
            (format!("s3://b?{is_virtual}&endpoint=https://b.host/x"), false),
            (format!("s3://b?{is_virtual}&endpoint=https://host"), true),
            (format!("s3://b?{is_virtual}&endpoint=https://bb.host"), true),
        ] {
            let said = refusal(&url, AmazonS3Builder::new());
            assert_eq!(said.is_some_and(|said| said.contains("b.HOST")), is_refused, "{url}");
        }
        let environment = AmazonS3Builder::new().with_virtual_hosted_style_request(true);
        assert!(refusal("s3://b?endpoint=https://host", environment).is_some());
    }
}
