"""What tests share: small releases, models and servers."""
