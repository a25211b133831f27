//! Clients of the services. Credentials and whatever the URL does not set come from the environment.

use std::{sync::Arc, time::Duration};

use object_store::{
    BackoffConfig, ClientConfigKey, ObjectStore, Result, RetryConfig,
    aws::{AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut},
    azure::{AzureConfigKey, MicrosoftAzureBuilder},
    gcp::{GoogleCloudStorageBuilder, GoogleConfigKey},
};

use crate::{
    address::{Bucket, Provider},
    answers::Connector,
    limits::{CLIENT_RETRIES, CONNECT, LONGEST_REQUEST, PAUSE, REQUEST},
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

/// The engine repeats requests itself, and knows which may have had an effect. The client bridges short failures.
fn retry() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig { init_backoff: PAUSE, max_backoff: Duration::from_secs(1), base: 2.0 },
        max_retries: CLIENT_RETRIES,
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
    let mut builder = AmazonS3Builder::from_env();
    for (key, value) in http(bucket) {
        builder = builder.with_config(AmazonS3ConfigKey::Client(key), value);
    }
    if let Some(region) = &bucket.settings.region {
        builder = builder.with_region(region);
    }
    if let Some(endpoint) = &bucket.settings.endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    if let Some(yes) = bucket.settings.virtual_hosted {
        builder = builder.with_virtual_hosted_style_request(yes);
    }
    let builder = builder.with_bucket_name(&bucket.name).with_conditional_put(S3ConditionalPut::ETagMatch);
    Ok(Arc::new(builder.with_retry(retry()).with_http_connector(Connector).build()?))
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
