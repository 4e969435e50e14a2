//! Both providers, on the same random input: what one makes, the other makes or takes.

use proptest::{
    collection::vec,
    prelude::{any, prop_assert, prop_assert_eq, proptest},
    sample::Index,
};

use super::{Cipher, native, portable};

const CIPHERS: [Cipher; 2] = [Cipher::Aes256Gcm, Cipher::ChaCha20Poly1305];

proptest! {
    #[test]
    fn hashes_macs_and_derived_keys_are_the_same(
        key in vec(any::<u8>(), 0..200),
        salt in vec(any::<u8>(), 0..80),
        parts in vec(vec(any::<u8>(), 0..100), 0..4),
    ) {
        let joined = parts.concat();
        prop_assert_eq!(native::sha256(&joined), portable::sha256(&joined));
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        prop_assert_eq!(
            native::hkdf_sha256(&key, &salt, &parts),
            portable::hkdf_sha256(&key, &salt, &parts)
        );
        let mac = native::MacKey::new(&key).mac(parts.iter().copied());
        prop_assert_eq!(mac, portable::MacKey::new(&key).mac(parts));
        prop_assert_eq!(native::same(&key, &salt), portable::same(&key, &salt));
        prop_assert!(native::same(&key, &key) && portable::same(&key, &key));
    }

    #[test]
    fn what_one_seals_the_other_opens_and_neither_opens_what_was_changed(
        key in any::<[u8; 32]>(),
        nonce in any::<[u8; 12]>(),
        aad in vec(any::<u8>(), 0..60),
        content in vec(any::<u8>(), 0..2000),
        flip in any::<(Index, u8)>(),
    ) {
        for cipher in CIPHERS {
            let one = native::Aead::new(cipher, &key);
            let other = portable::Aead::new(cipher, &key);
            let (mut sealed, mut same) = (content.clone(), content.clone());
            let tag = one.seal(nonce, &aad, &mut sealed);
            prop_assert_eq!(tag, other.seal(nonce, &aad, &mut same));
            prop_assert_eq!(&sealed, &same);
            sealed.extend_from_slice(&tag);
            let (mut a, mut b) = (sealed.clone(), sealed.clone());
            prop_assert!(one.open(nonce, &aad, &mut a).is_some_and(|opened| *opened == *content));
            prop_assert!(other.open(nonce, &aad, &mut b).is_some_and(|opened| *opened == *content));
            let at = flip.0.index(sealed.len());
            sealed[at] ^= flip.1.max(1);
            prop_assert!(one.open(nonce, &aad, &mut sealed.clone()).is_none());
            prop_assert!(other.open(nonce, &aad, &mut sealed).is_none());
        }
    }

    #[test]
    fn a_seed_signs_alike_and_either_takes_the_others_key_and_signature(
        seed in any::<[u8; 32]>(),
        message in vec(any::<u8>(), 0..300),
        flip in any::<(Index, u8)>(),
        noise in (any::<[u8; 32]>(), vec(any::<u8>(), 0..70)),
    ) {
        let one = native::SigningKey::from_seed(&seed);
        let other = portable::SigningKey::from_pkcs8(one.pkcs8()).unwrap();
        let again = native::SigningKey::from_pkcs8(
            portable::SigningKey::from_seed(&seed).pkcs8()
        ).unwrap();
        prop_assert_eq!(one.public(), other.public());
        prop_assert_eq!(one.public(), again.public());
        let mut signature = one.sign(&message);
        prop_assert_eq!(signature, other.sign(&message));
        prop_assert!(native::verify(&one.public(), &message, &signature));
        prop_assert!(portable::verify(&one.public(), &message, &signature));
        signature[flip.0.index(64)] ^= flip.1.max(1);
        prop_assert!(!native::verify(&one.public(), &message, &signature));
        prop_assert!(!portable::verify(&one.public(), &message, &signature));
        prop_assert_eq!(
            native::verify(&noise.0, &message, &noise.1),
            portable::verify(&noise.0, &message, &noise.1)
        );
    }

    #[test]
    fn what_one_compresses_the_other_decompresses_and_neither_writes_past_the_end(
        words in vec(0_u8..4, 0..40_000),
        short in any::<Index>(),
        noise in vec(any::<u8>(), 0..300),
    ) {
        let mut frame = vec![0; words.len() + 1000];
        let len = native::ZstdCompressor::new().unwrap().compress(&words, &mut frame).unwrap();
        let mut other = vec![0; words.len() * 2 + 1000];
        let other_len = portable::ZstdCompressor::new().unwrap().compress(&words, &mut other).unwrap();
        let (frame, other) = (&frame[..len], &other[..other_len]);
        let mut one = native::ZstdDecompressor::new().unwrap();
        let mut two = portable::ZstdDecompressor::new().unwrap();
        for frame in [frame, other] {
            let (mut a, mut b) = (vec![0; words.len()], vec![0; words.len()]);
            prop_assert_eq!(one.decompress(frame, &mut a), Some(words.len()));
            prop_assert_eq!(two.decompress(frame, &mut b), Some(words.len()));
            prop_assert!(a == words && b == words);
            if !words.is_empty() {
                let room = short.index(words.len());
                prop_assert_eq!(one.decompress(frame, &mut a[..room]), None);
                prop_assert_eq!(two.decompress(frame, &mut b[..room]), None);
            }
        }
        let mut out = vec![0; 4096];
        let _ = two.decompress(&noise, &mut out);
    }
}

#[test]
fn a_frame_that_claims_a_huge_window_is_refused_before_memory_is_taken() {
    // Magic number, a frame header without single segment, and a window of 2^31 bytes (RFC 8878, 3.1.1.1).
    let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8, 0x01, 0x00, 0x00];
    let mut decompressor = portable::ZstdDecompressor::new().unwrap();
    assert_eq!(decompressor.decompress(&frame, &mut [0; 64]), None);
}

#[test]
fn a_fresh_key_of_one_is_a_key_for_the_other() {
    let (one, other) = (
        native::SigningKey::generate(),
        portable::SigningKey::generate(),
    );
    let read = portable::SigningKey::from_pkcs8(one.pkcs8()).unwrap();
    assert_eq!(one.public(), read.public());
    let read = native::SigningKey::from_pkcs8(other.pkcs8()).unwrap();
    assert_eq!(other.public(), read.public());
}

#[test]
fn random_bytes_are_not_the_same_twice() {
    for fill in [native::random, portable::random] {
        let (mut a, mut b) = ([0; 32], [0; 32]);
        fill(&mut a);
        fill(&mut b);
        assert_ne!(a, b);
    }
}
