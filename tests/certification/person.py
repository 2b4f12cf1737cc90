"""What is known about the person who is signed in: every claim of a scope (Core §5.4)."""

PROFILE = {
    "name": "Ada Maria Lovelace",
    "given_name": "Ada",
    "family_name": "Lovelace",
    "middle_name": "Maria",
    "nickname": "ada",
    "profile": "https://people.example/ada",
    "picture": "https://people.example/ada.png",
    "website": "https://ada.example/",
    "gender": "female",
    "birthdate": "1815-12-10",
    "zoneinfo": "Europe/London",
    "locale": "en-GB",
}
ADDRESS = {
    "formatted": "12 St James's Square\nLondon",
    "street_address": "12 St James's Square",
    "locality": "London",
    "country": "GB",
}
PHONE = {"phone_number": "+44 20 5555 0100", "phone_number_verified": True}
