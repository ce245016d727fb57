"""A login as `gcloud auth` leaves it, for who finds it by GOOGLE_APPLICATION_CREDENTIALS."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat


def login(endpoint: str) -> dict[str, str]:
    """A service account's, whose tokens come from the double."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return {
        "type": "service_account",
        "project_id": "shoal-test",
        "private_key_id": "1",
        "private_key": pem,
        "client_email": "ada@shoal-test.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": f"{endpoint}/token",
    }
