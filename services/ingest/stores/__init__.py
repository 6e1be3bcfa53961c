"""Where objects are: a tenant's folder, object stores."""
