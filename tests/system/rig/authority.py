"""A certificate authority, and who it vouches for."""

import subprocess
from types import SimpleNamespace


class Authority:
    """Its certificate is the file `certificate`."""

    def __init__(self, folder, name):
        self._folder = folder
        self._name = name
        self.certificate, self._key = folder / f"{name}.pem", folder / f"{name}.key"
        self._request(self.certificate, self._key, "-subj", f"/CN={name}")

    def issue(self, name, *names):
        """Files `certificate` and `key`, good for `names` ("DNS:opa.test"); those of that name before are replaced."""
        made = SimpleNamespace(certificate=self._folder / f"{self._name}-{name}.pem",
                               key=self._folder / f"{self._name}-{name}.key")
        new = [path.with_name(f"{path.name}.new") for path in (made.certificate, made.key)]
        self._request(*new, "-CA", self.certificate, "-CAkey", self._key, "-subj", f"/CN={name}",
                      "-addext", f"subjectAltName={','.join(names)}", "-addext", "basicConstraints=critical,CA:FALSE")
        for path, there in zip(new, (made.certificate, made.key)):
            path.replace(there)
        return made

    @staticmethod
    def _request(certificate, key, *words):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
             "-days", "7", *words, "-keyout", key, "-out", certificate],
            check=True, capture_output=True,
        )
