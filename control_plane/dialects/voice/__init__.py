"""The Voice API: calls and conversations as sessions of an agent."""
