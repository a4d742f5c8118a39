"""The fingerprint of a device's certificate, read without our client."""

import asyncio
import hashlib
import ssl


async def fingerprint_at(address: str) -> str:
    host, _, port = address.rpartition(":")
    pem = await asyncio.to_thread(ssl.get_server_certificate, (host, int(port)))
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()
