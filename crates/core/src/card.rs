//! The card provider's token: it stands for a card, whose number is never to be stored here.

/// The longest token, in bytes.
const MAX_TOKEN: usize = 255;
/// The fewest digits of the card numbers that are in use; most have 16.
const CARD_DIGITS: usize = 12;

/// Passes a provider's token for a card, and refuses what looks like the number of one: to be
/// asked before the text is stored or sent anywhere. The refusal is a sentence that says how to
/// mend it and does not repeat the text.
pub fn check_card_token(text: &str) -> Result<(), &'static str> {
    if text.trim().is_empty() || text.len() > MAX_TOKEN {
        return Err(
            "send the payment provider's token for the card, such as card_ok in the sandbox",
        );
    }
    // However its digits are grouped: a number has no letters, a token does.
    let digits = text.chars().filter(|one| one.is_numeric()).count();
    if digits >= CARD_DIGITS && !text.chars().any(char::is_alphabetic) {
        return Err("this looks like a card number; send the payment provider's token instead");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn card_numbers_are_refused_and_tokens_are_not() {
        for number in [
            "4242424242424242",
            "4242 4242 4242 4242",
            "5555-5555-5555-4444",
            "4242/4242/4242/4242",
            "４２４２４２４２４２４２４２４２",
        ] {
            let why = check_card_token(number).unwrap_err();
            assert!(why.contains("card number"), "{number}: {why}");
        }
        for token in ["card_ok", "tok_1234567890123456", "12345"] {
            assert_eq!(check_card_token(token), Ok(()), "{token}");
        }
    }

    #[test]
    fn a_token_is_there_and_has_an_end() {
        for text in ["", "  ", &"a".repeat(MAX_TOKEN + 1)] {
            assert!(check_card_token(text).unwrap_err().contains("card_ok"), "{text:?}");
        }
    }
}
