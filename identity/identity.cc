#include "identity/identity.h"
