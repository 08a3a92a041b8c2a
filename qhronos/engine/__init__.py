"""What the services share: expand, claim, settle, recover, change."""
