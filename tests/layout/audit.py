"""Look for known vulnerabilities in what is locked; where nothing can be asked, say so and go on."""

from __future__ import annotations

import json
import subprocess
import sys

_OFFLINE = ("ConnectionError", "Failed to", "Max retries", "NameResolution", "timed out", "service unavailable")


def main() -> int:
    """Run pip-audit on the lock; 0 when nothing is known or nothing can be asked."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", "requirements.lock", "--require-hashes",
               "--disable-pip", "--progress-spinner", "off", "--timeout", "10", "--format", "json"]  # fmt: skip
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    except subprocess.TimeoutExpired:
        print("pip-audit: no answer; nothing was audited", file=sys.stderr)
        return 0
    try:
        packages = json.loads(result.stdout)["dependencies"]
    except ValueError:
        if any(word in result.stderr for word in _OFFLINE):
            print("pip-audit: the vulnerability database cannot be reached; nothing was audited", file=sys.stderr)
            return 0
        print(result.stdout + result.stderr, file=sys.stderr)
        return result.returncode or 1
    text, code = judge(packages)
    print(text)
    return code


def judge(packages: list[dict[str, object]]) -> tuple[str, int]:
    """Say what pip-audit's list of packages means, and the exit code: a package that it skipped was not audited."""
    skipped = [package for package in packages if "skip_reason" in package]
    wrong = [(package, fault) for package in packages for fault in package.get("vulns") or ()]  # type: ignore[attr-defined]
    lines = [f"{p['name']} {p['version']}: {f['id']}, fixed in {f['fix_versions'] or 'no version'}" for p, f in wrong]
    if len(skipped) == len(packages):
        lines.append("pip-audit: nothing was audited: the package index tells nothing of vulnerabilities")
    elif skipped:
        names = ", ".join(str(package["name"]) for package in skipped)
        lines.append(f"pip-audit: {len(skipped)} of {len(packages)} packages were not audited: {names}")
    if not wrong and len(skipped) < len(packages):
        lines.append(f"pip-audit: no known vulnerability in {len(packages) - len(skipped)} packages")
    return "\n".join(lines), 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
