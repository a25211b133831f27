// What the suite imports as `aegir/chai`: chai with promises, and with assertions that are called.

import chai from 'chai'
import chaiAsPromised from 'chai-as-promised'
import chaiParentheses from 'chai-parentheses'

chai.use(chaiAsPromised)
chai.use(chaiParentheses)

export const expect = chai.expect
