#include "opa-client/query.h"
