"""Downloads: photos fetched politely from the web, with a ledger of what became of each."""
