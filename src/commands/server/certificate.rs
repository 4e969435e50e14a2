//! The relay's certificate, for people to look at.

use std::path::Path;

/// Leaves the certificate where people can look at it; it is made anew from the key at each start.
///
/// Nobody needs the file: where it cannot be written, as on a read-only mount, the relay starts.
pub(super) fn write_certificate(certs: &Path, certificate: &[u8]) {
    let (pem, path) = (pem(certificate), certs.join("relay.crt"));
    if std::fs::read(&path).is_ok_and(|there| there == pem.as_bytes()) {
        return;
    }
    if let Err(error) = std::fs::write(&path, pem) {
        tracing::info!("{} stays as it is: {error}", path.display());
    }
}

/// PEM (RFC 7468) of a certificate.
fn pem(der: &[u8]) -> String {
    let base64 = data_encoding::BASE64.encode(der);
    let lines: Vec<_> = base64
        .as_bytes()
        .chunks(64)
        .map(|line| String::from_utf8_lossy(line))
        .collect();
    format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
        lines.join("\n")
    )
}
