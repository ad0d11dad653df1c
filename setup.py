"""How mailhub is installed: `pip install -e .`. Deployed as a checkout: templates and migrations stand beside it."""

from pathlib import Path

from setuptools import find_packages, setup


def wanted(name):
    lines = Path(__file__).with_name(name).read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith(("#", "-"))]


setup(
    name="mailhub",
    version="0.1.0",
    description="Self-hosted e-mail marketing: lists, campaigns, transactional mail, statistics",
    python_requires=">=3.11,<3.14",
    packages=find_packages(include=["mailhub", "mailhub.*"]),
    include_package_data=True,
    zip_safe=False,
    install_requires=wanted("requirements.in"),
    extras_require={"dev": wanted("requirements-dev.in")},
    entry_points={
        "console_scripts": ["mailhub = mailhub.cli:main"],
        "paste.app_factory": [
            "main = mailhub:main",
            "reports = mailhub.admin:main",
            "tracking = mailhub.tracking:main",
        ],
    },
)
